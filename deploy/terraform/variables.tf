variable "name" {
  description = "Name of the function."
  type        = string
  default     = "quiesce"
}

variable "namespace" {
  description = "Namespace of SCF that the function is in."
  type        = string
  default     = "default"
}

variable "role" {
  description = "Name of the execution role and of its policy."
  type        = string
  default     = "quiesce-function"
}

variable "package" {
  description = "Path of the package. A new one needs a new name, such as one with its digest in it: see README.md."
  type        = string
}

variable "vpc_id" {
  description = "Private network of the instances."
  type        = string
}

variable "subnet_id" {
  description = "Subnet that the function gets its address from; admit it in the instances' security groups."
  type        = string
}

variable "cls_logset_id" {
  description = "CLS log set that the function's output goes to."
  type        = string
}

variable "cls_topic_id" {
  description = "CLS topic in that set, with a key-value index."
  type        = string
}

variable "memory_mib" {
  description = "Memory, a multiple of 128; processor time comes with it."
  type        = number
  default     = 256
}

variable "timeout_s" {
  description = "Longest run, in seconds. SCF's own default, 3 s, is less than one hold takes."
  type        = number
  default     = 300
}

variable "timers" {
  description = "Timers by name: seven cron fields from second to year, and the policy that runs then."
  type        = map(object({ cron = string, policy = string }))

  default = {
    nightly   = { cron = "0 30 3 * * * *", policy = "nightly" }
    follow-up = { cron = "0 15 * * * * *", policy = "@follow-up" }
  }
}

variable "url" {
  description = "Which networks the function URL answers in; null for no URL. Callers are checked by CAM."
  type        = object({ intranet = bool, extranet = bool })
  default     = { intranet = true, extranet = false }
}

variable "retries" {
  description = "How often SCF repeats an event that ended in an error."
  type        = number
  default     = 2
}

variable "retries_kept_s" {
  description = "For how long SCF repeats it at most, in seconds."
  type        = number
  default     = 21600
}

variable "environment" {
  description = "Further variables of the function that are no secrets."
  type        = map(string)
  default     = {}
}

variable "hook_key" {
  description = "QUIESCE_HOOK_KEY, <key id>:<secret>. It is kept in Terraform's state and in the function's environment."
  type        = string
  sensitive   = true
}

variable "certificate_key" {
  description = "QUIESCE_CERTIFICATE_KEY, <key id>:<secret>. It is kept in Terraform's state and in the function's environment."
  type        = string
  sensitive   = true
}
