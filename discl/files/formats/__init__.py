"""What files of photos hold beside 8 bits a channel: cut-off ends, other contents, deep grey."""
