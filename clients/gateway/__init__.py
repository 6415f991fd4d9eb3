"""The gateway: the SuperNode's only door to the outside, run by the holder's trusted side.

The SuperNode and whatever code it runs talk Flower's fleet protocol to the gateway on the loopback interface. The gateway talks to the
SuperLink under a node key of its own. Nothing that the SuperNode says is passed on: every request to the SuperLink is written anew from
facts the gateway holds (``gateway``), every reply is composed from bytes the node sealed (``reply_check`` decides, ``compose`` writes).
What a bundle adds to a reply is therefore not filtered out; it was never on the way out.

=================  ==========================================================================================
``ports``          what the gateway needs from others, as small protocols
``objects``        Flower's form of a message: content-addressed objects, arrays cut into chunks
``reply_check``    the decision about one reply, a pure function
``compose``        the reply that leaves
``kept``           its form on disk while it leaves
``delivery``       brings it to the SuperLink; what the SuperLink does when it comes twice
``questions``      what was asked, what was answered and what is leaving, on disk
``gateway``        one answer for each call of the fleet protocol
``bundles``        which bundle a run brings
``superlink``      calls to the SuperLink: TLS, node key, length limits
``holder``         the holder's side: accepted bundles from the ledger, sealed bytes from the node's folder
``server``         the loopback HTTP server
=================  ==========================================================================================

Checked with flwr 1.41; the tests compare the form of messages with Flower's own. Nothing here imports torch.
"""
