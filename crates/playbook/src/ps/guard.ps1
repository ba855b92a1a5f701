if (Test-Path -LiteralPath $values.creates) { Answer 'unchanged' } else { Answer 'changed' }
