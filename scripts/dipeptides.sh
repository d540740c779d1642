#!/bin/sh
# Ensembles of the dipeptides of assets/peptides into OUT/SEQUENCE, for configs/flow/: about an hour of one core.
# Those that flows never see in training are run eight times as long, as references. Done runs are skipped, others resumed.
# Usage: scripts/dipeptides.sh [OUT]        (default runs/md/dipeptides; MD names the binary, THREADS its threads)
set -eu
out=${1:-runs/md/dipeptides}
md=${MD:-target/release/md}
held_out="GV SA TN VD CS DT NG AC"
for sequence in AA $held_out $(ls assets/peptides); do
  [ -d "assets/peptides/$sequence" ] || continue
  steps=250000
  case " AA $held_out " in *" $sequence "*) steps=2000000 ;; esac
  grep -q '"status": "done"' "$out/$sequence/summary.json" 2>/dev/null && continue
  "$md" run configs/md/dipeptide.yaml --out "$out/$sequence" --resume --threads "${THREADS:-1}" run.steps=$steps \
    target.system="assets/peptides/$sequence/system.xml" target.topology="assets/peptides/$sequence/topology.pdb"
done
