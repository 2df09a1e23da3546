"""Training: a pure step for anyone's arrays, and the loop that runs members with it."""

from liverjax.train.state import TrainState, create_state, member_key
from liverjax.train.step import predict_step, train_step

__all__ = ["TrainState", "create_state", "member_key", "predict_step", "train_step"]
