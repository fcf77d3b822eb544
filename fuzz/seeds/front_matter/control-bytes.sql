--! id = "[31m"
SELECT 1
