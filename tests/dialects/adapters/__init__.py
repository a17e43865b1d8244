"""How the contract suite asks each dialect for things, and reads its answers back."""
