"""Auth: who shows a credential, and whether it is accepted."""
