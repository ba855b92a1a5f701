Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
if (Test-Path -LiteralPath $values.to -PathType Leaf) { [Console]::Out.Write([IO.File]::ReadAllText($values.to)) }
