Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$program = $values.program
$service = Get-Service -Name 'tegata-agent' -ErrorAction SilentlyContinue
$placed = Join-Path $env:ProgramFiles 'Tegata\tegata-agent.exe'
if ($values.state -eq 'started') {
    $current = (Test-Path -LiteralPath $placed) -and (Test-Path -LiteralPath $program) -and (HashOf $placed) -eq (HashOf $program)
    if ($service -and $service.Status -eq 'Running' -and $current) { Answer 'unchanged'; exit 0 }
    if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
    $ended = Start-Program $program 'install' ''
} else {
    if (-not $service -and -not (Test-Path -LiteralPath $program)) { Answer 'unchanged'; exit 0 }
    if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
    $ended = Start-Program $program 'uninstall' ''
}
if ($ended.Code -ne 0) { Tell $ended.Printed; Refuse 'task-failed' }
if ($values.state -ne 'started') { Remove-Item -LiteralPath $program -Force }
Answer 'changed'
