"""What a pile of numbers can say: bins, distances, intervals, onsets, many tests at once.

Pure: numpy arrays in, values out; no file, clock, socket or unseeded randomness. Any room above may call.
"""
