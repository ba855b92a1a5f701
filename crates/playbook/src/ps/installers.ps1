Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$hashes = $values.hashes -split ' '
$found = $false
for ($number = 0; Has "folder.$number"; $number++) {
    $folder = $values."folder.$number"
    if (-not (Test-Path -LiteralPath $folder -PathType Container)) { continue }
    foreach ($file in (Get-ChildItem -LiteralPath $folder -File -Force | Where-Object { $_.Extension -in '.p12', '.pfx' -and -not $_.LinkType })) {
        if ((HashOf $file.FullName) -notin $hashes) { continue }
        $found = $true
        if ($values.step -eq 'apply') { Remove-Item -LiteralPath $file.FullName -Force }
    }
}
if ($found) { Answer 'changed' } else { Answer 'unchanged' }
