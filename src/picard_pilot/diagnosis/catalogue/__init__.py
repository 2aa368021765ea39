"""The error catalogue as data: PanDA's numbers and names, who is to blame, and what to do next."""
