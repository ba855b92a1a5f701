$program = $values.program
if (-not (Test-Path -LiteralPath $program -PathType Leaf)) {
    if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
    Tell "there is no program $program"
    Refuse 'tool-missing'
}
$status = $null
$printed = (Start-Program $program $values.statusArguments '').Printed
try { $status = ConvertFrom-Json $printed } catch { }
if ($status -and $status.device) {
    if ($status.device -eq $values.device -and $status.server -eq $values.server) { Answer 'unchanged'; exit 0 }
    Tell "it is enrolled as $($status.device) with $($status.server)"
    Refuse 'other-device'
}
if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
$ended = Start-Program $program $values.enrollArguments $values.code
if ($ended.Code -ne 0) { Tell $ended.Printed; Refuse 'task-failed' }
Answer 'changed'
