--! id = "fuzz"
--! kind = "view"
--! title = "A title"
--! description = "What it holds."
SELECT * FROM access_logs
