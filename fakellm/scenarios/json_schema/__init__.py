"""Making values from JSON Schemas; `fakellm.scenarios.from_schema` is the door."""
