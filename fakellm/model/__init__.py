"""The vocabulary: what is asked, what is answered, what happens when; imports nothing of ours."""
