"""The reaction to alerts: takes an alert, decides by a policy, and rolls back, retrains or pages a person.

It runs in a pod (workloads/react has its manifest) and does what a person does with `client`, so it may
import `client` and `workloads`; nothing of ours imports it.
"""
