Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$program = $values.program
if (-not (Test-Path -LiteralPath $program -PathType Leaf)) {
    if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
    Tell "there is no program $program"
    Refuse 'tool-missing'
}
$printed = (Start-Program $program $values.statusArguments '').Printed
$status = [pscustomobject]@{}
try { $status = [pscustomobject](ConvertFrom-Json $printed) } catch { }
function Of($name) { $found = $status.PSObject.Properties[$name]; if ($found) { $found.Value } else { '' } }
$device = Of 'device'
if ($device) {
    $server = Of 'server'
    if ($device -eq $values.device -and $server -eq $values.server) { Answer 'unchanged'; exit 0 }
    Tell "it is enrolled as $device with $server"
    Refuse 'other-device'
}
if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
$ended = Start-Program $program $values.enrollArguments $values.code
if ($ended.Code -ne 0) { Tell $ended.Printed; Refuse 'task-failed' }
Answer 'changed'
