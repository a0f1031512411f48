"""What a stack keeps on a Prefect server, over Prefect's own REST API: a self-hosted one's or Prefect Cloud's.

    errors       what the API answers when it does not do what was asked
    client       one server and one credential
    objects      objects with a name of their own: variables, work pools, concurrency limits
    blocks       notification blocks, whose values are secret
    automations  what hears of events
    events       sending one, and reading what became of it

Routes and bodies are those of Prefect 3.8.8's server (prefect/server/api); Prefect Cloud's have the same names below a
workspace's address.
"""
