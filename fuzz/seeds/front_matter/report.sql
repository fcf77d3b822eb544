--! id = "fuzz"
--! kind = "report"
--! title = "A title"
--! description = "What it tells."
SELECT 1 AS one
