"""What a classifier says of images, place by place: reading them, asking the model, showing the answer."""
