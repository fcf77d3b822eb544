--! id = "fuzz"
--! colour = "red"
SELECT 1
