"""What the artifact store holds, what of it is out of date, and how it is made smaller. Nothing here imports torch."""
