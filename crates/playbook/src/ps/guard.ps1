Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
if (Test-Path -LiteralPath $values.creates) { Answer 'unchanged' } else { Answer 'changed' }
