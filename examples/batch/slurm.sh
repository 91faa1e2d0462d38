#!/bin/bash
#SBATCH --job-name=predict
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --requeue
#SBATCH --open-mode=append
# sbatch slurm.sh RUN IMAGES ANSWERS [more words for predict]
set -euo pipefail

PARTS=16 # as in --array above; not SLURM's own count, which is 1 when one part is started again
exec attention-keras predict "$1" "$2" --output "$3" --shard "$SLURM_ARRAY_TASK_ID/$PARTS" "${@:4}"
