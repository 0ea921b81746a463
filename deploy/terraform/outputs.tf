output "function_name" {
  description = "Name of the function."
  value       = tencentcloud_scf_function.quiesce.name
}

output "role_name" {
  description = "Name of the execution role."
  value       = tencentcloud_cam_role.function.name
}

output "timers" {
  description = "Names of the timers."
  value       = [for timer in tencentcloud_scf_trigger.timer : timer.trigger_name]
}
