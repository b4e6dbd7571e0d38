"""The command line: one file a command.

main      ``python -m al_core``, which knows all of them
simulate  many experiments without a person
choose    a batch out of embeddings that fit no memory
features  embed, pretrain
labels    export, import
replay    each batch again from the log
options   what several commands take
terminal  progress bars, errors as sentences, Ctrl-C
"""
