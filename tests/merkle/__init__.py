"""The tree against the RFC's recursion, another project's tree, and other projects' vectors."""
