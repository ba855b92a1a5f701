Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$to = $values.to
if (-not [IO.Path]::IsPathRooted($to)) { Tell "$to is not an absolute path"; Refuse 'broken' }
if ((Test-Path -LiteralPath $to -PathType Leaf) -and (HashOf $to) -eq $values.sha256) { Answer 'unchanged'; exit 0 }
if ($values.step -ne 'apply') { Answer 'changed'; exit 0 }
$folder = [IO.Path]::GetDirectoryName($to)
[void][IO.Directory]::CreateDirectory($folder)
$part = [IO.Path]::Combine($folder, '.' + [IO.Path]::GetFileName($to) + '.tegata-part')
try {
    $file = [IO.File]::Create($part)
    try { $stream.CopyTo($file); $file.Flush($true) } finally { $file.Dispose() }
    if ((HashOf $part) -ne $values.sha256) { Tell 'what arrived is not what was sent'; Refuse 'broken' }
    if (Test-Path -LiteralPath $to) { [IO.File]::Replace($part, $to, $null) } else { [IO.File]::Move($part, $to) }
} finally {
    if (Test-Path -LiteralPath $part) { Remove-Item -LiteralPath $part -Force }
}
Answer 'changed'
