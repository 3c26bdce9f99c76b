"""One origin as method calls: submit, read, prove. HTTP stands above, the sequencer and the stores below."""
