"""Everything that touches a platform or a tool; found by file name, never imported by harness."""
