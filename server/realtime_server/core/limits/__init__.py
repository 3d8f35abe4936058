"""What is limited, and how rates are held."""
