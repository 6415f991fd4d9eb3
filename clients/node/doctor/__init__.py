"""``suture-node doctor``: looks at everything a node needs before it is needed, and says how to mend what is wrong.

Each check is a function from a :class:`~clients.node.doctor.patient.Patient` to findings; the table is
:data:`clients.node.doctor.table.CHECKS`. Nothing is changed: files are read, the ledger is asked, connections are opened and closed.
"""
