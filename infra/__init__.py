"""What is provisioned: one Pulumi program for every stack. Imports nothing else of ours."""
