"""The vocabulary: what is asked, what is answered, and what happens when; imports nothing of ours."""
