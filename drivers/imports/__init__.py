"""Results that other programs left in files; one module per tool, found by its name. `virtmark import` reads them.

A module `NAME.py` (`-` in the name of a tool is `_` here) holds one class, named after the file in CamelCase:
`EXPECTED` says which output can be read, `read` is pure and turns the text of one file into what was measured.
"""
