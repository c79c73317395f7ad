"""What a person reads, drawn from reports built by hand."""
