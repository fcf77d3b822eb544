--! id = "fuzz"
--! kind = "report"
--! title = "t"
--! description = "d"
SELECT $nobody -- $comment '$text'
