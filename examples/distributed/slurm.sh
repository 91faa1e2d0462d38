#!/bin/bash
#SBATCH --job-name=attention
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=1
#SBATCH --requeue
# Give train.py's flags after the script: sbatch slurm.sh --dataset cifar10 --name two-nodes
set -euo pipefail

PORT=12345
HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$PORT\"/" | paste -sd, -)
export HOSTS

srun bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$HOSTS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec python train.py --strategy multi_worker "$@"
' bash "$@"
