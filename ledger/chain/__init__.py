"""Chains: the one door to any JSON-RPC node, and a persistent one inside the process.

* :mod:`.ports`: what can be asked, and the values that come back
* :mod:`.connection`: asking, through web3
* :mod:`.abi`: calls, results and events as bytes
* :mod:`.embedded`: an EVM chain in one file
"""
