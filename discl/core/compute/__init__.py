"""What work is computed with: devices, and their memory."""
