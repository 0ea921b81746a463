# The function of Quiesce with its role, timers, URL and retries. What each setting means: deploy/deployment.example.toml.

locals {
  # The policy that is generated from the code, for a function of this name.
  policy = replace(
    file("${path.module}/../cam-policy.json"),
    "namespace/default/function/quiesce",
    "namespace/${var.namespace}/function/${var.name}",
  )

  variables = merge(
    {
      QUIESCE_HOOK_CA         = "hook-ca.pem"
      QUIESCE_HOOK_KEY        = var.hook_key
      QUIESCE_CERTIFICATE_KEY = var.certificate_key
    },
    # Goes with AuthType below: CAM has checked the caller of the URL before the function runs.
    var.url == null ? {} : { QUIESCE_HTTP_AUTH = "cam" },
    var.environment,
  )
}

resource "tencentcloud_cam_role" "function" {
  name        = var.role
  description = "Execution role of the function of Quiesce"

  document = jsonencode({
    version = "2.0"
    statement = [{
      effect    = "allow"
      action    = ["name/sts:AssumeRole"]
      principal = { service = ["scf.qcloud.com"] }
    }]
  })
}

resource "tencentcloud_cam_policy" "function" {
  name        = var.role
  description = "What the function of Quiesce calls"
  document    = local.policy
}

resource "tencentcloud_cam_role_policy_attachment_by_name" "function" {
  role_name   = tencentcloud_cam_role.function.name
  policy_name = tencentcloud_cam_policy.function.name
}

resource "tencentcloud_scf_function" "quiesce" {
  name        = var.name
  namespace   = var.namespace
  description = "Application consistent snapshots of CBS disks."
  func_type   = "Event"
  handler     = "index.main_handler"
  runtime     = "Python3.10"
  zip_file    = var.package
  role        = tencentcloud_cam_role.function.name
  mem_size    = var.memory_mib
  timeout     = var.timeout_s
  environment = local.variables

  vpc_id    = var.vpc_id
  subnet_id = var.subnet_id
  # The way to the API of CBS is public, and is off in a VPC unless asked for.
  enable_public_net = true

  cls_logset_id = var.cls_logset_id
  cls_topic_id  = var.cls_topic_id

  depends_on = [tencentcloud_cam_role_policy_attachment_by_name.function]
}

resource "tencentcloud_scf_function_event_invoke_config" "quiesce" {
  function_name = tencentcloud_scf_function.quiesce.name
  namespace     = var.namespace

  async_trigger_config {
    retry_config {
      retry_num = var.retries
    }
    msg_ttl = var.retries_kept_s
  }
}

resource "tencentcloud_scf_trigger" "timer" {
  for_each = var.timers

  function_name   = tencentcloud_scf_function.quiesce.name
  namespace       = var.namespace
  trigger_name    = each.key
  type            = "timer"
  trigger_desc    = jsonencode({ cron = each.value.cron })
  custom_argument = each.value.policy
  qualifier       = "$DEFAULT"
  # A timer without this may be made switched off, and nothing ever runs.
  enable = "OPEN"
}

resource "tencentcloud_scf_trigger" "url" {
  count = var.url == null ? 0 : 1

  function_name = tencentcloud_scf_function.quiesce.name
  namespace     = var.namespace
  trigger_name  = "on-demand"
  type          = "http"
  qualifier     = "$DEFAULT"
  enable        = "OPEN"

  trigger_desc = jsonencode({
    AuthType = "CAM"
    NetConfig = {
      EnableIntranet = var.url.intranet
      EnableExtranet = var.url.extranet
    }
  })
}
