"""The servicers of the contract, and who may call them."""
