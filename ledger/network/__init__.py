"""The files from which a consortium starts a chain of its own: Hyperledger Besu with QBFT, one validator at each member.

* :mod:`.hosts`: who validates, and where
* :mod:`.genesis`: block 0 and its hash
* :mod:`.besu`: configuration, permissions and a compose file for one host
* :mod:`.files`: all of it on disk, once

Nothing here starts a node or speaks to one. The form of every file is Besu's, from its documentation.
"""
