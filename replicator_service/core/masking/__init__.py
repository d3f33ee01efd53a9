"""What may cross is the owner's choice: rules, and the one function that applies them to bytes.

A document enters the program as BSON in a reply of MongoDB. Before anything else looks at it, excluded elements are
left out and masked ones are replaced there: BSON in, BSON out. Everything behind that door (columns, ``_extra``,
``_bson``, dead letters, findings, comparison) works on what is left and cannot show more.
"""
