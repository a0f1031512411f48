"""What every route of Prefect 3.8.8 does, so that rights can be held against it.

One line a path, below the API's base; `{id:uuid}` and the like as Prefect writes them. The words:

| word | meaning | needs |
|---|---|---|
| read | looks and changes nothing, whatever the method | viewer |
| read:secrets | the same, unless it asks for `include_secrets` | viewer; admin with secrets |
| run | runs, cancels, pauses, resumes, retries | operator |
| change | makes, changes or removes what the server keeps | admin |
| change:FIELD | the same; a run when its body holds nothing but FIELD, which switches it on or off | admin; operator |
| work | what running flows and workers do by themselves; no line in the audit | admin |
| work:ui | the same; a read when it comes from the UI, which Prefect then does not take for a worker | admin; viewer |

What is not here is for admins only; `python -m pytest tests/image/test_rights.py` holds it against the real server.
"""

HTTP = """
/admin/settings GET read
/admin/storage GET read, PUT change, DELETE change
/admin/version GET read
/artifacts/ POST work
/artifacts/count POST read
/artifacts/filter POST read
/artifacts/latest/count POST read
/artifacts/latest/filter POST read
/artifacts/{id:uuid} GET read, PATCH change, DELETE change
/artifacts/{key}/latest GET read
/automations/ POST change
/automations/count POST read
/automations/filter POST read
/automations/owned-by/{resource_id:str} DELETE change
/automations/related-to/{resource_id:str} GET read
/automations/templates/validate POST read
/automations/{id:uuid} GET read, PATCH change, PUT change, DELETE change
/block_capabilities/ GET read
/block_documents/ POST change
/block_documents/count POST read
/block_documents/filter POST read:secrets
/block_documents/{id:uuid} GET read:secrets, PATCH change, DELETE change
/block_schemas/ POST change
/block_schemas/checksum/{checksum} GET read
/block_schemas/filter POST read
/block_schemas/{id:uuid} GET read, DELETE change
/block_types/ POST change
/block_types/filter POST read
/block_types/install_system_block_types POST change
/block_types/slug/{slug} GET read
/block_types/slug/{slug}/block_documents GET read:secrets
/block_types/slug/{slug}/block_documents/name/{block_document_name} GET read:secrets
/block_types/{id:uuid} GET read, PATCH change, DELETE change
/collections/views/{view} GET read
/concurrency_limits/ POST change
/concurrency_limits/decrement POST work
/concurrency_limits/filter POST read
/concurrency_limits/increment POST work
/concurrency_limits/tag/{tag} GET read, DELETE change
/concurrency_limits/tag/{tag}/reset POST change
/concurrency_limits/{id:uuid} GET read, DELETE change
/csrf-token GET read
/deployments/ POST change
/deployments/bulk_delete POST change
/deployments/count POST read
/deployments/filter POST read
/deployments/get_scheduled_flow_runs POST work
/deployments/name/{flow_name}/{deployment_name} GET read
/deployments/paginate POST read
/deployments/{id:uuid} GET read, PATCH change:paused, DELETE change
/deployments/{id:uuid}/create_flow_run POST run
/deployments/{id:uuid}/create_flow_run/bulk POST run
/deployments/{id:uuid}/pause_deployment POST run
/deployments/{id:uuid}/resume_deployment POST run
/deployments/{id:uuid}/schedule POST run
/deployments/{id:uuid}/schedules GET read, POST change
/deployments/{id:uuid}/schedules/{schedule_id:uuid} PATCH change:active, DELETE change
/deployments/{id:uuid}/work_queue_check GET read
/docs GET read, HEAD read
/docs/oauth2-redirect GET read, HEAD read
/events POST work
/events/count-by/{countable} POST read
/events/filter POST read
/events/filter/next GET read
/flow_run_states/ GET read
/flow_run_states/{id:uuid} GET read
/flow_runs/ POST change
/flow_runs/bulk_delete POST change
/flow_runs/bulk_set_state POST run
/flow_runs/count POST read
/flow_runs/filter POST read
/flow_runs/history POST read
/flow_runs/lateness POST read
/flow_runs/paginate POST read
/flow_runs/{id:uuid} GET read, PATCH change, DELETE change
/flow_runs/{id:uuid}/graph GET read
/flow_runs/{id:uuid}/graph-v2 GET read
/flow_runs/{id:uuid}/input POST run
/flow_runs/{id:uuid}/input/filter POST read
/flow_runs/{id:uuid}/input/{key} GET read, DELETE change
/flow_runs/{id:uuid}/labels PATCH work
/flow_runs/{id:uuid}/logs/download GET read
/flow_runs/{id:uuid}/resume POST run
/flow_runs/{id:uuid}/set_state POST run
/flows/ POST work
/flows/bulk_delete POST change
/flows/count POST read
/flows/filter POST read
/flows/name/{name} GET read
/flows/paginate POST read
/flows/{id:uuid} GET read, PATCH change, DELETE change
/health GET read
/hello GET read
/logs/ POST work
/logs/filter POST read
/openapi.json GET read, HEAD read
/ready GET read
/redoc GET read, HEAD read
/saved_searches/ PUT change
/saved_searches/filter POST read
/saved_searches/{id:uuid} GET read, DELETE change
/static/{path:path} GET read, HEAD read
/task_run_states/ GET read
/task_run_states/{id:uuid} GET read
/task_runs/ POST work
/task_runs/count POST read
/task_runs/filter POST read
/task_runs/history POST read
/task_runs/paginate POST read
/task_runs/{id:uuid} GET read, PATCH change, DELETE change
/task_runs/{id:uuid}/set_state POST run
/task_workers/filter POST read
/templates/validate POST read
/ui/flow_runs/count-task-runs POST read
/ui/flow_runs/history POST read
/ui/flows/count-deployments POST read
/ui/flows/next-runs POST read
/ui/schemas/validate POST read
/ui/task_runs/count POST read
/ui/task_runs/dashboard/counts POST read
/ui/task_runs/{id:uuid} GET read
/v2/concurrency_limits/ POST change
/v2/concurrency_limits/decrement POST work
/v2/concurrency_limits/decrement-with-lease POST work
/v2/concurrency_limits/filter POST read
/v2/concurrency_limits/increment POST work
/v2/concurrency_limits/increment-with-lease POST work
/v2/concurrency_limits/leases/{lease_id}/renew POST work
/v2/concurrency_limits/{id_or_name} GET read, PATCH change, DELETE change
/variables/ POST change
/variables/count POST read
/variables/filter POST read
/variables/name/{name:str} GET read, PATCH change, DELETE change
/variables/{id:uuid} GET read, PATCH change, DELETE change
/version GET read
/work_pools/ POST change
/work_pools/count POST read
/work_pools/filter POST read
/work_pools/{name} GET read, PATCH change:is_paused, DELETE change
/work_pools/{name}/concurrency_status POST read
/work_pools/{name}/get_scheduled_flow_runs POST work
/work_pools/{work_pool_name}/queues POST change
/work_pools/{work_pool_name}/queues/filter POST read
/work_pools/{work_pool_name}/queues/{name} GET read, PATCH change:is_paused, DELETE change
/work_pools/{work_pool_name}/workers/filter POST read
/work_pools/{work_pool_name}/workers/heartbeat POST work
/work_pools/{work_pool_name}/workers/{name} DELETE change
/work_queues/ POST change
/work_queues/filter POST read
/work_queues/name/{name} GET read
/work_queues/{id:uuid} GET read, PATCH change:is_paused, DELETE change
/work_queues/{id:uuid}/concurrency_status POST read
/work_queues/{id:uuid}/get_runs POST work:ui
/work_queues/{id:uuid}/status GET read
"""

SOCKETS = """
/events/in work
/events/out read
/logs/out read
/task_runs/subscriptions/scheduled work
/work_pools/{work_pool_name}/workers/connect work
"""
