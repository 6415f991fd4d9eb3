"""A data holder's machine: untrusted glue that trains, and the trusted node that it has to ask.

:mod:`clients.app` is the Flower ClientApp, with :mod:`clients.training` and one door (:mod:`clients.door`) to the node.
:mod:`clients.node` has the keys, the policy and the once-only register, and never imports Flower. What the two say to each other
is in :mod:`clients.calls`. Import from these modules; nothing is re-exported here.
"""
