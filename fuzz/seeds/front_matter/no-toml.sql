--! [[[
SELECT 1
