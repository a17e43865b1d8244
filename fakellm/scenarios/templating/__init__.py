"""Templates rendered in a sandbox, within bounds; `fakellm.scenarios.templates` is the door."""
